#include "ops/factory.h"
#include "ops/random.h"
#include "python/tables.h"

namespace ember::python {

namespace {

TensorOptions options(std::optional<DType> dtype, std::optional<Device> device, DType otherwise) {
    return {dtype.value_or(otherwise), device.value_or(Device())};
}

template <Tensor (*F)(const Dims&, Generator*, TensorOptions)>
Tensor filled(const Dims& size, Generator* generator, std::optional<DType> dtype, StridedLayout,
              std::optional<Device> device, bool requires_grad, bool) {
    return ops::with_grad(F(size, generator, options(dtype, device, modes::default_dtype())),
                          requires_grad);
}
template <Tensor (*F)(const Tensor&, double, double, Generator*), int From, int To>
Tensor like(const Tensor& input, Generator* generator, std::optional<DType> dtype, StridedLayout,
            std::optional<Device> device, bool requires_grad, std::optional<MemoryFormat> format) {
    Tensor out = ops::empty_like_op(input, dtype, device, false, format);
    return ops::with_grad(F(out, From, To, generator), requires_grad);
}
Tensor randint_high(int64_t high, const Dims& size, Generator* generator,
                    std::optional<DType> dtype, StridedLayout, std::optional<Device> device,
                    bool requires_grad) {
    return ops::with_grad(
        ops::randint(0, high, size, generator, options(dtype, device, DType::Int64)),
        requires_grad);
}
Tensor randint(int64_t low, int64_t high, const Dims& size, Generator* generator,
               std::optional<DType> dtype, StridedLayout, std::optional<Device> device,
               bool requires_grad) {
    return ops::with_grad(
        ops::randint(low, high, size, generator, options(dtype, device, DType::Int64)),
        requires_grad);
}
Tensor randint_like(const Tensor& input, int64_t low, int64_t high, std::optional<DType> dtype,
                    std::optional<Device> device) {
    EMBER_CHECK(low < high, "randint_like: low must be less than high, got %ld and %ld", long(low),
                long(high));
    return ops::random_(ops::empty_like_op(input, dtype, device, false, std::nullopt), low, high,
                        nullptr);
}
Tensor randint_like_high(const Tensor& input, int64_t high, std::optional<DType> dtype,
                         std::optional<Device> device) {
    return randint_like(input, 0, high, dtype, device);
}
Tensor randperm(int64_t n, Generator* generator, std::optional<DType> dtype, StridedLayout,
                std::optional<Device> device, bool requires_grad) {
    return ops::with_grad(ops::randperm(n, generator, options(dtype, device, DType::Int64)),
                          requires_grad);
}
Tensor bernoulli_p(const Tensor& input, double p, Generator* generator) {
    return ops::bernoulli_(empty_like(input), p, generator);
}
Tensor normal_sized(double mean, double std, const Dims& size, Generator* generator,
                    std::optional<DType> dtype, StridedLayout, std::optional<Device> device) {
    return ops::normal_(empty(size, options(dtype, device, modes::default_dtype())), mean, std,
                        generator);
}

}  // namespace

void bind_random(BindTable& t) {
    constexpr int both = kFunction | kMethod;
#define EMBER_OPTIONS "dtype=None, layout=None, device=None, requires_grad=False"
    bind<&filled<ops::rand>>(
        t, kFunction, "rand(*size, generator=None, out=None, " EMBER_OPTIONS ", pin_memory=False)",
        "Uniform numbers in [0, 1): PyTorch's for the same seed, as in all "
        "functions of this kind.");
    bind<&filled<ops::randn>>(
        t, kFunction, "randn(*size, generator=None, out=None, " EMBER_OPTIONS ", pin_memory=False)",
        "Numbers of the standard normal distribution (Box and Muller, 1958).");
    bind<&like<ops::uniform_, 0, 1>>(
        t, kFunction, "rand_like(input, *, generator=None, " EMBER_OPTIONS ", memory_format=None)",
        "rand with input's shape and dtype.");
    bind<&like<ops::normal_, 0, 1>>(
        t, kFunction, "randn_like(input, *, generator=None, " EMBER_OPTIONS ", memory_format=None)",
        "randn with input's shape and dtype.");
    bind<&randint_high, &randint>(
        t, kFunction,
        {"randint(high, size, *, generator=None, out=None, " EMBER_OPTIONS ")",
         "randint(low, high, size, *, generator=None, out=None, " EMBER_OPTIONS ")"},
        "Whole numbers in [low, high), int64 by default.");
    bind<&randint_like_high, &randint_like>(
        t, kFunction,
        {"randint_like(input, high, *, dtype=None, device=None)",
         "randint_like(input, low, high, *, dtype=None, device=None)"},
        "randint with input's shape and dtype.");
    bind<&randperm>(t, kFunction, "randperm(n, *, generator=None, out=None, " EMBER_OPTIONS ")",
                    "A random permutation of 0 to n - 1, int64 by default.");
    bind<&bernoulli_p, &ops::bernoulli>(
        t, both,
        {"bernoulli(input, p, *, generator=None)", "bernoulli(input, *, generator=None, out=None)"},
        "1 with the probability that the element (or p) gives, else 0, in input's dtype.");
    bind<&normal_sized, &ops::normal_tensors>(
        t, kFunction,
        {"normal(mean, std, size, *, generator=None, out=None, dtype=None, layout=None, "
         "device=None)",
         "normal(mean: Tensor | Number, std: Tensor | Number, *, generator=None, out=None)"},
        "Normal numbers with a mean and a standard deviation by element, or of a size.");
    bind<&ops::multinomial>(
        t, both, "multinomial(input, num_samples, replacement=False, *, generator=None, out=None)",
        "num_samples indices (int64) a row, drawn with the row's elements as "
        "weights. input: (n,) or "
        "(rows, n), not negative.");
    bind<&ops::uniform_>(t, kMethod, "uniform_(input, from=0.0, to=1.0, *, generator=None)",
                         "Fills with uniform numbers in [from, to).");
    bind<&ops::normal_>(t, kMethod, "normal_(input, mean=0.0, std=1.0, *, generator=None)",
                        "Fills with normal numbers.");
    bind<&ops::exponential_>(t, kMethod, "exponential_(input, lambd=1.0, *, generator=None)",
                             "Fills with numbers of the exponential distribution of rate lambd.");
    bind<&ops::random_>(
        t, kMethod, "random_(input, from=None, to=None, *, generator=None)",
        "Fills with whole numbers in [from, to), in [0, from), or all the dtype holds exactly.");
    bind<&ops::bernoulli_tensor_, &ops::bernoulli_>(
        t, kMethod,
        {"bernoulli_(input, p, *, generator=None)", "bernoulli_(input, p=0.5, *, generator=None)"},
        "Fills with 1 at probability p (a number or a tensor), else 0.");
    bind<&ops::dropout>(t, kFunction, "dropout(input, p=0.5, training=True, inplace=False)",
                        "While training, zeroes each element with probability p and scales the "
                        "others by 1 / (1 - p) "
                        "(Srivastava et al., 2014). ValueError unless p is in [0, 1].");
#undef EMBER_OPTIONS
}

}  // namespace ember::python
