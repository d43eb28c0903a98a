#include <dlfcn.h>

#include <array>
#include <cstring>
#include <map>
#include <mutex>
#include <string>

#include "cuda/cublas.h"
#include "cuda/runtime.h"

// cuBLASLt is opened at run time; its header is in no toolkit that only compiles, so what is used
// of its stable interface is declared here.
namespace ember::cuda {
namespace {

namespace lt {

using Handle = struct HandleT*;
using Desc = struct DescT*;
using Matrix = struct MatrixT*;
using Preference = struct PreferenceT*;
struct Algorithm {
    uint64_t data[8];
};
struct Heuristic {
    Algorithm algorithm;
    size_t workspace;
    int state;
    float waves;
    int reserved[4];
};

enum ComputeType { kCompute32F = 68, kCompute64F = 70, kCompute32FastTf32 = 77 };
enum DescAttribute { kTransA = 3, kTransB = 4, kEpilogue = 7, kBiasPointer = 8 };
enum MatrixAttribute { kBatchCount = 5, kBatchStride = 6 };
enum PreferenceAttribute { kMaxWorkspace = 1, kAlignmentA = 5 };  // B, C, D follow
enum EpilogueBit { kDefault = 1, kRelu = 2, kBias = 4 };

}  // namespace lt

struct Library {
    int (*create)(lt::Handle*);
    int (*desc_create)(lt::Desc*, int compute, int scale);
    int (*desc_destroy)(lt::Desc);
    int (*desc_set)(lt::Desc, int attribute, const void*, size_t);
    int (*matrix_create)(lt::Matrix*, int type, uint64_t rows, uint64_t columns, int64_t ld);
    int (*matrix_destroy)(lt::Matrix);
    int (*matrix_set)(lt::Matrix, int attribute, const void*, size_t);
    int (*preference_create)(lt::Preference*);
    int (*preference_destroy)(lt::Preference);
    int (*preference_set)(lt::Preference, int attribute, const void*, size_t);
    int (*heuristic)(lt::Handle, lt::Desc, lt::Matrix, lt::Matrix, lt::Matrix, lt::Matrix,
                     lt::Preference, int wanted, lt::Heuristic*, int* found);
    int (*matmul)(lt::Handle, lt::Desc, const void* alpha, const void* a, lt::Matrix, const void* b,
                  lt::Matrix, const void* beta, const void* c, lt::Matrix, void* d, lt::Matrix,
                  const lt::Algorithm*, void* workspace, size_t bytes, cudaStream_t);

    bool found = false;
    std::string told;  // its path, or why it is not there

    Library() {
        void* library = nullptr;
        std::string reasons;
        for (const std::string& path : candidates()) {
            library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
            if (library) {
                told = path;
                break;
            }
            if (const char* why = dlerror())
                reasons += (reasons.empty() ? "" : "; ") + std::string(why);
        }
        if (!library) {
            told = reasons;
            return;
        }
        found = true;
        auto load = [&](auto& function, const char* name) {
            void* symbol = dlsym(library, name);
            if (!symbol) found = false, told += std::string(" has no ") + name;
            function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(symbol);
        };
        load(create, "cublasLtCreate");
        load(desc_create, "cublasLtMatmulDescCreate");
        load(desc_destroy, "cublasLtMatmulDescDestroy");
        load(desc_set, "cublasLtMatmulDescSetAttribute");
        load(matrix_create, "cublasLtMatrixLayoutCreate");
        load(matrix_destroy, "cublasLtMatrixLayoutDestroy");
        load(matrix_set, "cublasLtMatrixLayoutSetAttribute");
        load(preference_create, "cublasLtMatmulPreferenceCreate");
        load(preference_destroy, "cublasLtMatmulPreferenceDestroy");
        load(preference_set, "cublasLtMatmulPreferenceSetAttribute");
        load(heuristic, "cublasLtMatmulAlgoGetHeuristic");
        load(matmul, "cublasLtMatmul");
    }

    // NVIDIA's wheels have no plain .so name. Site-packages is one folder up from this library.
    static std::array<std::string, 5> candidates() {
        std::string site = "..";
        Dl_info here;
        if (dladdr(reinterpret_cast<void*>(&cublas_gemm), &here) && here.dli_fname) {
            std::string path = here.dli_fname;
            site = path.substr(0, path.rfind('/')) + "/..";
        }
        std::string told = find_cublas ? find_cublas() : "";
        return {told.empty() ? "libcublasLt.so.13" : told,
                site + "/nvidia/cu13/lib/libcublasLt.so.13",
                site + "/nvidia/cublas/lib/libcublasLt.so.12", "libcublasLt.so.13",
                "libcublasLt.so.12"};
    }
};

const Library& library() {
    static const Library* const opened = new Library;
    return *opened;
}

lt::Handle handle_of(int device) {
    static std::mutex mutex;
    static lt::Handle handles[kMaxGpus];
    std::lock_guard lock(mutex);
    if (!handles[device] && library().create(&handles[device]) != 0) handles[device] = nullptr;
    return handles[device];
}

// A matrix of column-major memory, or its transpose.
struct Operand {
    const void* data;
    int64_t rows, columns, ld, batch_stride;
    bool transposed;
};

// (rows, columns) with these strides; false where neither is 1 or columns of memory overlap.
bool as_operand(const void* data, int64_t rows, int64_t columns, int64_t row_stride,
                int64_t column_stride, int64_t batch_stride, Operand& out) {
    bool by_rows = column_stride == 1 || columns == 1;
    bool by_columns = row_stride == 1 || rows == 1;
    // A dimension of one item may have any stride, which is no leading dimension then.
    if (by_columns && (columns == 1 || column_stride >= rows)) {
        out = {data, rows, columns, columns == 1 ? rows : column_stride, batch_stride, false};
        return true;
    }
    if (by_rows && (rows == 1 || row_stride >= columns)) {
        out = {data, columns, rows, rows == 1 ? columns : row_stride, batch_stride, true};
        return true;
    }
    return false;
}

uint32_t alignment_of(const void* p) {
    uintptr_t bits = reinterpret_cast<uintptr_t>(p);
    return bits == 0 ? 256 : uint32_t(std::min<uintptr_t>(bits & (~bits + 1), 256));
}

cudaDataType data_type(DType dtype) {
    switch (dtype) {
        case DType::Float16: return CUDA_R_16F;
        case DType::BFloat16: return CUDA_R_16BF;
        case DType::Float64: return CUDA_R_64F;
        default: return CUDA_R_32F;
    }
}

using Key = std::array<int64_t, 22>;
struct Choice {
    lt::Algorithm algorithm;
    size_t workspace;
    bool possible;
};

// Descriptors of one product, freed with it.
struct Problem {
    const Library& lib = library();
    lt::Desc desc = nullptr;
    lt::Matrix a = nullptr, b = nullptr, c = nullptr;
    bool good = true;

    Problem(const Operand& x, const Operand& y, const Operand& z, int64_t batch, DType dtype,
            bool tf32, int epilogue, const void* bias) {
        cudaDataType type = data_type(dtype);
        bool wide = dtype == DType::Float64;
        tell(lib.desc_create(&desc,
                             wide   ? lt::kCompute64F
                             : tf32 ? lt::kCompute32FastTf32
                                    : lt::kCompute32F,
                             wide ? CUDA_R_64F : CUDA_R_32F));
        set(lt::kTransA, int32_t(x.transposed));
        set(lt::kTransB, int32_t(y.transposed));
        set(lt::kEpilogue, uint32_t(epilogue));
        if (bias) set(lt::kBiasPointer, bias);
        matrix(a, x, batch, type);
        matrix(b, y, batch, type);
        matrix(c, z, batch, type);
    }
    ~Problem() {
        if (a) lib.matrix_destroy(a);
        if (b) lib.matrix_destroy(b);
        if (c) lib.matrix_destroy(c);
        if (desc) lib.desc_destroy(desc);
    }
    Problem(const Problem&) = delete;

private:
    void tell(int status) { good = good && status == 0; }
    template <class T>
    void set(int attribute, T value) {
        if (good) tell(lib.desc_set(desc, attribute, &value, sizeof value));
    }
    void matrix(lt::Matrix& m, const Operand& o, int64_t batch, cudaDataType type) {
        if (!good) return;
        tell(lib.matrix_create(&m, type, uint64_t(o.rows), uint64_t(o.columns), o.ld));
        int32_t count = int32_t(batch);
        if (!good || batch == 1) return;
        tell(lib.matrix_set(m, lt::kBatchCount, &count, sizeof count));
        tell(lib.matrix_set(m, lt::kBatchStride, &o.batch_stride, sizeof o.batch_stride));
    }
};

Choice choose(lt::Handle handle, const Problem& p, const uint32_t (&alignment)[4]) {
    constexpr uint64_t kWorkspace = uint64_t(32) << 20;
    const Library& lib = p.lib;
    Choice choice{};
    lt::Preference preference = nullptr;
    if (lib.preference_create(&preference) != 0) return choice;
    lib.preference_set(preference, lt::kMaxWorkspace, &kWorkspace, sizeof kWorkspace);
    for (int i = 0; i < 4; i++)
        lib.preference_set(preference, lt::kAlignmentA + i, &alignment[i], sizeof alignment[i]);
    lt::Heuristic best{};
    int found = 0;
    int status = lib.heuristic(handle, p.desc, p.a, p.b, p.c, p.c, preference, 1, &best, &found);
    lib.preference_destroy(preference);
    if (status != 0 || found == 0 || best.state != 0) return choice;
    return {best.algorithm, best.workspace, true};
}

}  // namespace

const char* matrix_library(bool* found) {
    *found = library().found;
    return library().told.c_str();
}

bool cublas_gemm(Context& context, const kernels::Gemm& g) {
    if (is_integral(g.dtype) || g.m == 0 || g.n == 0 || g.k == 0 || g.batch > INT32_MAX)
        return false;
    if (!library().found) return false;
    lt::Handle handle = handle_of(context.device.index);
    if (!handle) return false;
    // The library's matrices are column-major: of a row-major c, the transposed product is
    // computed.
    bool by_rows = g.c_col == 1;
    if (!by_rows && (g.c_row != 1 || g.bias)) return false;
    int64_t m = by_rows ? g.n : g.m, n = by_rows ? g.m : g.n;
    Operand x, y, z;
    bool fits = by_rows ? as_operand(g.b, g.n, g.k, g.b_col, g.b_row, g.b_batch, x) &&
                              as_operand(g.a, g.k, g.m, g.a_col, g.a_row, g.a_batch, y) &&
                              as_operand(g.c, g.n, g.m, g.c_col, g.c_row, g.c_batch, z)
                        : as_operand(g.a, g.m, g.k, g.a_row, g.a_col, g.a_batch, x) &&
                              as_operand(g.b, g.k, g.n, g.b_row, g.b_col, g.b_batch, y) &&
                              as_operand(g.c, g.m, g.n, g.c_row, g.c_col, g.c_batch, z);
    if (!fits || z.transposed) return false;
    bool relu = g.activation == kernels::Gemm::Activation::Relu;
    int epilogue =
        g.bias || relu ? (relu ? lt::kRelu : 0) | (g.bias ? lt::kBias : 0) : lt::kDefault;
    const bool tf32 = g.dtype == DType::Float32 && g.precision != kernels::Gemm::Precision::Highest;
    Problem problem(x, y, z, g.batch, g.dtype, tf32, epilogue, g.bias);
    if (!problem.good) return false;

    uint32_t alignment[4] = {alignment_of(x.data), alignment_of(y.data), alignment_of(z.data),
                             alignment_of(z.data)};
    Key key{context.device.index,
            int64_t(g.dtype),
            tf32,
            m,
            n,
            g.k,
            x.transposed,
            y.transposed,
            x.ld,
            y.ld,
            z.ld,
            g.batch,
            x.batch_stride,
            y.batch_stride,
            z.batch_stride,
            epilogue,
            alignment[0],
            alignment[1],
            alignment[2],
            g.bias ? alignment_of(g.bias) : 0,
            g.beta == 0};
    static std::mutex mutex;
    static auto* choices = new std::map<Key, Choice>;
    Choice choice;
    {
        std::lock_guard lock(mutex);
        auto known = choices->find(key);
        if (known == choices->end())
            known = choices->emplace(key, choose(handle, problem, alignment)).first;
        choice = known->second;
    }
    if (!choice.possible) return false;
    float alpha = float(g.alpha), beta = float(g.beta);
    bool wide = g.dtype == DType::Float64;
    void* workspace = choice.workspace ? context.scratch(choice.workspace) : nullptr;
    int status = library().matmul(
        handle, problem.desc, wide ? static_cast<const void*>(&g.alpha) : &alpha, x.data, problem.a,
        y.data, problem.b, wide ? static_cast<const void*>(&g.beta) : &beta, z.data, problem.c, g.c,
        problem.c, &choice.algorithm, workspace, choice.workspace, stream_of(context));
    EMBER_CHECK(status == 0, "%s: cuBLASLt failed with status %d", context.operation, status);
    return true;
}

}  // namespace ember::cuda
