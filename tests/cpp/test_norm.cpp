#include "kernel_test.h"
#include "kernels/norm.h"

using namespace ember;
using namespace ember::test;

namespace {

DType compute_dtype(DType dtype) {
    return dtype == DType::Float64 ? DType::Float64 : DType::Float32;
}

double tolerance(DType dtype) {
    return (dtype == DType::Float64 ? 0x1p-53 : 0x1p-24) * 200 + 2 * epsilon(dtype);
}

// f(dtype, dtype of parameters)
template <class F>
void for_dtypes(F&& f) {
    for (DType dtype : kFloatDTypes) {
        f(dtype, dtype);
        if (item_size(dtype) == 2) f(dtype, DType::Float32);
    }
}

struct Stats {
    double mean, var;
};

template <class At>
Stats stats_of(int64_t n, At&& at) {
    double mean = 0, var = 0;
    for (int64_t i = 0; i < n; i++) mean += at(i);
    mean /= double(n);
    for (int64_t i = 0; i < n; i++) var += (at(i) - mean) * (at(i) - mean);
    return {mean, var / double(n)};
}

constexpr double kEps = 1e-5;

void check_layer_norm(int64_t rows, int64_t n, DType dtype, DType params, bool affine) {
    Random random;
    Array in(dtype, rows * n), out(dtype, rows * n), grad(dtype, rows * n), dx(dtype, rows * n);
    Array weight(params, n), bias(params, n), dw(params, n), db(params, n);
    for (Array* a : {&in, &grad, &weight, &bias}) a->randomize(random);
    Array mean(compute_dtype(dtype), rows), rstd(compute_dtype(dtype), rows);
    Context ctx;
    const void *w = affine ? weight.data() : nullptr, *b = affine ? bias.data() : nullptr;
    kernels::layer_norm(
        DeviceType::CPU, ctx,
        {in.data(), out.data(), w, b, mean.data(), rstd.data(), rows, n, kEps, dtype, params});
    kernels::layer_norm_backward(
        DeviceType::CPU, ctx,
        {grad.data(), in.data(), w, mean.data(), rstd.data(), dx.data(),
         affine ? dw.data() : nullptr, affine ? db.data() : nullptr, rows, n, dtype, params});
    std::vector<double> dw_expected(size_t(n), 0.0), db_expected(size_t(n), 0.0);
    double tol = tolerance(dtype);
    for (int64_t r = 0; r < rows; r++) {
        Stats s = stats_of(n, [&](int64_t i) { return in[r * n + i]; });
        double scale = 1 / std::sqrt(s.var + kEps), sum = 0, dot = 0;
        auto normed = [&](int64_t i) { return (in[r * n + i] - s.mean) * scale; };
        auto weighted = [&](int64_t i) { return grad[r * n + i] * (affine ? weight[i] : 1); };
        CHECK_CLOSE(mean[r], s.mean, tol);
        CHECK_CLOSE(rstd[r], scale, tol);
        for (int64_t i = 0; i < n; i++) {
            double expected = normed(i) * (affine ? weight[i] : 1) + (affine ? bias[i] : 0);
            CHECK_CLOSE(out[r * n + i], expected, tol * (n == 1 ? 100 : 1));
            sum += weighted(i);
            dot += weighted(i) * normed(i);
            dw_expected[size_t(i)] += grad[r * n + i] * normed(i);
            db_expected[size_t(i)] += grad[r * n + i];
        }
        for (int64_t i = 0; i < n; i++) {
            double expected = scale * (weighted(i) - sum / double(n) - normed(i) * dot / double(n));
            CHECK_CLOSE(dx[r * n + i], expected, tol * std::fmax(1, scale));
        }
    }
    double parts = std::fmax(1, std::sqrt(double(rows)));
    for (int64_t i = 0; affine && i < n; i++) {
        CHECK_CLOSE(dw[i], dw_expected[size_t(i)], tolerance(dtype) * parts + epsilon(params));
        CHECK_CLOSE(db[i], db_expected[size_t(i)], tolerance(dtype) * parts + epsilon(params));
    }
}

void test_layer_norm() {
    on_every_level([] {
        for_dtypes([](DType dtype, DType params) {
            for (bool affine : {true, false}) {
                check_layer_norm(1, 1, dtype, params, affine);
                check_layer_norm(3, 2, dtype, params, affine);
                check_layer_norm(700, 13, dtype, params, affine);
                check_layer_norm(5, 64, dtype, params, affine);
                check_layer_norm(33, 768, dtype, params, affine);
                check_layer_norm(2, 9000, dtype, params, affine);
                check_layer_norm(0, 8, dtype, params, affine);
                check_layer_norm(2, 0, dtype, params, affine);
            }
        });
        // A mean far from zero.
        Array in(DType::Float32, 256), out(DType::Float32, 256), stats(DType::Float32, 2);
        for (int64_t i = 0; i < 256; i++) in.set(i, 10000 + double(i % 2));
        Context ctx;
        kernels::layer_norm(DeviceType::CPU, ctx,
                            {in.data(), out.data(), nullptr, nullptr, stats.bytes.data(),
                             stats.bytes.data() + 4, 1, 256, 0, DType::Float32, DType::Float32});
        for (int64_t i = 0; i < 256; i++) CHECK_CLOSE(out[i], i % 2 ? 1 : -1, 1e-6);
    });
}

struct Batch {
    int64_t n, channels, inner;
    int64_t at(int64_t i, int64_t c, int64_t l) const { return (i * channels + c) * inner + l; }
};

void check_batch_norm(Batch s, DType dtype, DType params, bool affine, bool training) {
    Random random;
    int64_t numel = s.n * s.channels * s.inner, count = s.n * s.inner;
    Array in(dtype, numel), out(dtype, numel), grad(dtype, numel), dx(dtype, numel);
    Array weight(params, s.channels), bias(params, s.channels);
    Array running_mean(params, s.channels), running_var(params, s.channels);
    Array dw(params, s.channels), db(params, s.channels);
    for (Array* a : {&in, &grad, &weight, &bias, &running_mean}) a->randomize(random);
    for (int64_t c = 0; c < s.channels; c++) running_var.set(c, 0.5 + random.uniform());
    Array old_mean = running_mean, old_var = running_var;
    Array mean(compute_dtype(dtype), s.channels), invstd(compute_dtype(dtype), s.channels);
    Context ctx;
    const void *w = affine ? weight.data() : nullptr, *b = affine ? bias.data() : nullptr;
    kernels::batch_norm(
        DeviceType::CPU, ctx,
        {in.data(), out.data(), w, b, running_mean.data(), running_var.data(), mean.data(),
         invstd.data(), s.n, s.channels, s.inner, kEps, 0.1, training, dtype, params});
    kernels::batch_norm_backward(DeviceType::CPU, ctx,
                                 {grad.data(), in.data(), w, mean.data(), invstd.data(), dx.data(),
                                  affine ? dw.data() : nullptr, affine ? db.data() : nullptr, s.n,
                                  s.channels, s.inner, training, dtype, params});
    double tol = tolerance(dtype);
    for (int64_t c = 0; c < s.channels; c++) {
        Stats batch =
            stats_of(count, [&](int64_t k) { return in[s.at(k / s.inner, c, k % s.inner)]; });
        Stats used = training ? batch : Stats{old_mean[c], old_var[c]};
        double scale = 1 / std::sqrt(used.var + kEps), sum = 0, dot = 0;
        double factor = affine ? weight[c] : 1, shift = affine ? bias[c] : 0;
        CHECK_CLOSE(mean[c], used.mean, tol);
        CHECK_CLOSE(invstd[c], scale, tol);
        if (training) {
            double unbiased = batch.var * double(count) / double(count - 1);
            CHECK_CLOSE(running_mean[c], 0.9 * old_mean[c] + 0.1 * batch.mean,
                        tol + epsilon(params));
            CHECK_CLOSE(running_var[c], 0.9 * old_var[c] + 0.1 * unbiased, tol + epsilon(params));
        } else {
            CHECK(running_mean == old_mean && running_var == old_var);
        }
        auto each = [&](auto&& f) {
            for (int64_t i = 0; i < s.n; i++) {
                for (int64_t l = 0; l < s.inner; l++) f(s.at(i, c, l));
            }
        };
        each([&](int64_t i) {
            double x = (in[i] - used.mean) * scale;
            CHECK_CLOSE(out[i], x * factor + shift, tol);
            sum += grad[i];
            dot += grad[i] * x;
        });
        double parts = std::fmax(1, std::sqrt(double(count)));
        if (affine) {
            CHECK_CLOSE(dw[c], dot, tol * parts + epsilon(params));
            CHECK_CLOSE(db[c], sum, tol * parts + epsilon(params));
        }
        double n = double(count);
        each([&](int64_t i) {
            double x = (in[i] - used.mean) * scale, g = grad[i];
            if (training) g -= sum / n + x * dot / n;
            CHECK_CLOSE(dx[i], g * scale * factor, tol * std::fmax(1, scale));
        });
    }
}

void test_batch_norm() {
    on_every_level([] {
        for_dtypes([](DType dtype, DType params) {
            for (bool affine : {true, false}) {
                for (bool training : {true, false}) {
                    check_batch_norm({4, 1, 3}, dtype, params, affine, training);
                    check_batch_norm({70, 37, 1}, dtype, params, affine, training);
                    check_batch_norm({200, 3, 1}, dtype, params, affine, training);
                    check_batch_norm({5, 6, 49}, dtype, params, affine, training);
                    check_batch_norm({3, 20, 4}, dtype, params, affine, training);
                    check_batch_norm({2, 2, 9000}, dtype, params, affine, training);
                    check_batch_norm({3, 18, 301}, dtype, params, affine, training);
                    check_batch_norm({70, 130, 16}, dtype, params, affine, training);
                }
            }
        });
    });
}

void test_threads() {
    Random random;
    int64_t rows = 600, n = 300;
    Array in(DType::Float32, rows * n), grad(DType::Float32, rows * n), weight(DType::Float32, n);
    for (Array* a : {&in, &grad, &weight}) a->randomize(random);
    std::vector<Array> results;
    for (int threads : {1, 2, 4}) {
        set_num_threads(threads);
        Array all(DType::Float32, 4 * rows * n), mean(DType::Float32, rows),
            rstd(DType::Float32, rows);
        float* p = static_cast<float*>(all.data());
        Context ctx;
        kernels::layer_norm(DeviceType::CPU, ctx,
                            {in.data(), p, weight.data(), nullptr, mean.data(), rstd.data(), rows,
                             n, kEps, DType::Float32, DType::Float32});
        kernels::layer_norm_backward(
            DeviceType::CPU, ctx,
            {grad.data(), in.data(), weight.data(), mean.data(), rstd.data(), p + rows * n,
             p + 2 * rows * n, p + 2 * rows * n + n, rows, n, DType::Float32, DType::Float32});
        kernels::batch_norm_backward(
            DeviceType::CPU, ctx,
            {grad.data(), in.data(), weight.data(), mean.data(), rstd.data(), p + 3 * rows * n,
             p + 2 * rows * n + 2 * n, p + 2 * rows * n + 3 * n, rows, n, 1, true, DType::Float32,
             DType::Float32});
        results.push_back(all);
    }
    CHECK(results[0] == results[1]);
    CHECK(results[0] == results[2]);
}

}  // namespace

int main() {
    RUN(test_layer_norm);
    RUN(test_batch_norm);
    RUN(test_threads);
    return summary();
}
