// Names that system headers are known to define as macros do not break any header of reckon.
#include "other_headers.hpp"  // those of the standard library and of xsimd come first: they are not our promise

#define min(a, b) (((a) < (b)) ? (a) : (b))  // windows.h
#define max(a, b) (((a) > (b)) ? (a) : (b))
#define small char
#define near
#define far
#define interface struct
#define IN
#define OUT
#define OPTIONAL
#define ERROR 0
#define TRUE 1
#define FALSE 0
#define DOMAIN 1  // math.h
#define OVERFLOW 3
#define UNDERFLOW 4
#define I _Complex_I             // complex.h
#define B0 0000000               // termios.h
#define major(dev) ((dev) >> 8)  // sys/sysmacros.h
#define minor(dev) ((dev)&255)
#define Bool int  // X11
#define None 0L
#define Status int
#define Success 0
#define Always 2
#define emit  // Qt
#define signals public
#define slots
#define check(condition) ((void)(condition))  // AssertMacros.h, Unreal
#define verify(condition) ((void)(condition))

#include "every_header.hpp"

int main() {
    return 0;
}
