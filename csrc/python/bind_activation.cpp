#include "ops/activation.h"
#include "ops/pointwise.h"
#include "python/tables.h"

namespace ember::python {

namespace {

// PyTorch's constants (Klambauer et al., 2017).
constexpr double kSeluAlpha = 1.6732632423543772848170429916717;
constexpr double kSeluScale = 1.0507009873554804934193349852946;

Dest where(const Tensor& x, bool inplace) { return inplace ? Dest::in_place(x) : Dest(); }

Tensor elu_to(const Tensor& x, double alpha, const Dest& dest) {
    return ops::elu("elu", x, alpha, 1, 1, dest);
}
Tensor celu_to(const Tensor& x, double alpha, const Dest& dest) {
    EMBER_CHECK(alpha != 0, "celu: alpha must not be 0");
    return ops::elu("celu", x, alpha, 1, 1 / alpha, dest);
}
Tensor selu_to(const Tensor& x, const Dest& dest) {
    return ops::elu("selu", x, kSeluAlpha, kSeluScale, 1, dest);
}
Tensor hardtanh_to(const Tensor& x, Number min, Number max, const Dest& dest) {
    return ops::hardtanh("hardtanh", x, min, max, dest);
}
Tensor relu6_to(const Tensor& x, const Dest& dest) {
    return ops::hardtanh("relu6", x, ops::number(0.0), ops::number(6.0), dest);
}

Tensor elu(const Tensor& x, double alpha, bool inplace) {
    return elu_to(x, alpha, where(x, inplace));
}
Tensor celu(const Tensor& x, double alpha, bool inplace) {
    return celu_to(x, alpha, where(x, inplace));
}
Tensor selu(const Tensor& x, bool inplace) { return selu_to(x, where(x, inplace)); }
Tensor hardtanh(const Tensor& x, Number min, Number max, bool inplace) {
    return hardtanh_to(x, min, max, where(x, inplace));
}
Tensor relu6(const Tensor& x, bool inplace) { return relu6_to(x, where(x, inplace)); }
Tensor hardsigmoid(const Tensor& x, bool inplace) { return ops::hardsigmoid(x, where(x, inplace)); }
Tensor hardswish(const Tensor& x, bool inplace) { return ops::hardswish(x, where(x, inplace)); }
Tensor mish(const Tensor& x, bool inplace) { return ops::mish(x, where(x, inplace)); }
Tensor threshold(const Tensor& x, Number bound, Number value, bool inplace) {
    return ops::threshold(x, bound, value, where(x, inplace));
}

}  // namespace

void bind_activation(BindTable& t) {
    constexpr int both = kFunction | kMethod;
    bind<&elu>(t, kFunction, "elu(input, alpha=1.0, inplace=False)",
               "input where positive, else alpha * (exp(input) - 1) (Clevert et al., 2015).");
    bind_dest<&elu_to>(t, kInPlaceFunction, "elu(input, alpha=1.0, *, out=None)",
                       "elu in the input's own memory.");
    bind<&celu>(t, kFunction, "celu(input, alpha=1.0, inplace=False)",
                "input where positive, else alpha * (exp(input / alpha) - 1) (Barron, 2017).");
    bind_dest<&celu_to>(t, kInPlaceFunction, "celu(input, alpha=1.0, *, out=None)",
                        "celu in the input's own memory.");
    bind<&selu>(t, kFunction, "selu(input, inplace=False)",
                "elu of a fixed alpha, scaled so that activations stay normalised (Klambauer et "
                "al., 2017).");
    bind_dest<&selu_to>(t, kInPlaceFunction, "selu(input, *, out=None)",
                        "selu in the input's own memory.");
    bind<&hardtanh>(t, kFunction, "hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False)",
                    "The nearest value in [min_val, max_val]; the gradient at the limits is 0. "
                    "ValueError where min_val exceeds max_val.");
    bind_dest<&hardtanh_to>(t, kInPlaceFunction,
                            "hardtanh(input, min_val=-1.0, max_val=1.0, *, out=None)",
                            "hardtanh in the input's own memory.");
    bind<&relu6>(t, kFunction, "relu6(input, inplace=False)", "hardtanh with the limits 0 and 6.");
    bind_dest<&relu6_to>(t, kInPlaceFunction, "relu6(input, *, out=None)",
                         "relu6 in the input's own memory.");
    bind<&hardsigmoid>(t, kFunction, "hardsigmoid(input, inplace=False)",
                       "(input + 3) / 6, limited to [0, 1] (Howard et al., 2019).");
    bind<&hardswish>(t, kFunction, "hardswish(input, inplace=False)",
                     "input * hardsigmoid(input) (Howard et al., 2019).");
    bind<&mish>(t, kFunction, "mish(input, inplace=False)",
                "input * tanh(softplus(input)) (Misra, 2019).");
    bind<&threshold>(
        t, kFunction,
        "threshold(input, threshold: Number, value: Number, inplace=False)",
        "input where it exceeds the threshold, else value. Any dtype but bool.");
    bind_dest<&ops::threshold>(t, kInPlaceFunction,
                               "threshold(input, threshold: Number, value: Number, *, out=None)",
                               "threshold in the input's own memory.");
    bind<&ops::hardshrink>(t, both, "hardshrink(input, lambd=0.5)",
                           "input where its size exceeds lambd, else 0.");
    bind<&ops::softshrink>(t, kFunction, "softshrink(input, lambd=0.5)",
                           "input moved towards 0 by lambd, 0 where its size is below lambd.");
    bind<&ops::glu>(t, kFunction, "glu(input, dim=-1)",
                    "a * sigmoid(b) of the halves a and b of the input along dim (Dauphin et al., "
                    "2016). RuntimeError for an odd size.");
    bind<&ops::prelu>(t, both, "prelu(input, weight)",
                      "input where positive, else weight * input; weight has one element for all "
                      "or one for each of dim 1 (He et al., 2015).");
}

}  // namespace ember::python
