#include "ops/activation.h"
#include "ops/pointwise.h"
#include "python/tables.h"

namespace ember::python {

namespace {

// PyTorch's constants (Klambauer et al., 2017).
constexpr double kSeluAlpha = 1.6732632423543772848170429916717;
constexpr double kSeluScale = 1.0507009873554804934193349852946;

Dest where(const Tensor& x, bool inplace) { return inplace ? Dest::in_place(x) : Dest(); }

Tensor elu(const Tensor& x, double alpha, bool inplace) {
    return ops::elu("elu", x, alpha, 1, 1, where(x, inplace));
}
Tensor celu(const Tensor& x, double alpha, bool inplace) {
    EMBER_CHECK(alpha != 0, "celu: alpha must not be 0");
    return ops::elu("celu", x, alpha, 1, 1 / alpha, where(x, inplace));
}
Tensor selu(const Tensor& x, bool inplace) {
    return ops::elu("selu", x, kSeluAlpha, kSeluScale, 1, where(x, inplace));
}
Tensor hardtanh(const Tensor& x, Number min, Number max, bool inplace) {
    return ops::hardtanh("hardtanh", x, min, max, where(x, inplace));
}
Tensor relu6(const Tensor& x, bool inplace) {
    return ops::hardtanh("relu6", x, ops::number(0.0), ops::number(6.0), where(x, inplace));
}
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
    bind<&celu>(t, kFunction, "celu(input, alpha=1.0, inplace=False)",
                "input where positive, else alpha * (exp(input / alpha) - 1) (Barron, 2017).");
    bind<&selu>(t, kFunction, "selu(input, inplace=False)",
                "elu of a fixed alpha, scaled so that activations stay normalised (Klambauer et "
                "al., 2017).");
    bind<&hardtanh>(t, kFunction, "hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False)",
                    "The nearest value in [min_val, max_val]; the gradient at the limits is 0. "
                    "ValueError where min_val exceeds max_val.");
    bind<&relu6>(t, kFunction, "relu6(input, inplace=False)", "hardtanh with the limits 0 and 6.");
    bind<&hardsigmoid>(t, kFunction, "hardsigmoid(input, inplace=False)",
                       "(input + 3) / 6, limited to [0, 1] (Howard et al., 2019).");
    bind<&hardswish>(t, kFunction, "hardswish(input, inplace=False)",
                     "input * hardsigmoid(input) (Howard et al., 2019).");
    bind<&mish>(t, kFunction, "mish(input, inplace=False)",
                "input * tanh(softplus(input)) (Misra, 2019).");
    bind<&threshold>(t, kFunction,
                     "threshold(input, threshold: Number, value: Number, inplace=False)",
                     "input where it exceeds the threshold, else value. Any dtype but bool.");
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
