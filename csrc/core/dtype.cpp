#include "core/dtype.h"

namespace ember {

const char* dtype_name(DType dtype) {
    switch (dtype) {
        case DType::Bool: return "bool";
        case DType::UInt8: return "uint8";
        case DType::Int8: return "int8";
        case DType::Int16: return "int16";
        case DType::Int32: return "int32";
        case DType::Int64: return "int64";
        case DType::Float16: return "float16";
        case DType::BFloat16: return "bfloat16";
        case DType::Float32: return "float32";
        case DType::Float64: return "float64";
        case DType::Complex64: return "complex64";
        case DType::Complex128: return "complex128";
    }
    return "unknown";
}

// The enumeration's order decides but for three pairs: uint8 with int8 needs int16, two halves need
// float32, and float64 with complex64 needs complex128.
DType promote(DType a, DType b) {
    DType low = a < b ? a : b, high = a < b ? b : a;
    if (low == DType::UInt8 && high == DType::Int8) return DType::Int16;
    if (low == DType::Float16 && high == DType::BFloat16) return DType::Float32;
    if (low == DType::Float64 && high == DType::Complex64) return DType::Complex128;
    return high;
}

}  // namespace ember
