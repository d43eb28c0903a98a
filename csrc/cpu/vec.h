#pragma once

#include "cpu/vec_memory.h"
#include "cpu/vec_power.h"
#include "cpu/vec_type.h"
