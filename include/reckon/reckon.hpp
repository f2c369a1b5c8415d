// Everything at once, for a quick start. Including the headers you use costs less to compile.
#pragma once

#include "reckon/core/batch.hpp"
#include "reckon/core/bytes.hpp"
#include "reckon/core/math.hpp"
#include "reckon/core/monoids.hpp"
#include "reckon/core/random.hpp"
#include "reckon/core/simd.hpp"
#include "reckon/core/views.hpp"
#include "reckon/exec/parts.hpp"
#include "reckon/exec/pool.hpp"
#include "reckon/version.hpp"
