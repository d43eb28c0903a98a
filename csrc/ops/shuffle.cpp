#include "ops/view.h"

// Rearrangements of channels and pixels: a view, permuted, and a copy.
namespace ember::ops {

Tensor pixel_shuffle(const Tensor& x, int64_t upscale_factor) {
    constexpr const char* name = "pixel_shuffle";
    const int64_t r = upscale_factor;
    EMBER_CHECK(x.dim() >= 3, "%s: expected an input with at least 3 dims, got shape %s", name,
                to_string(x.sizes()).c_str());
    EMBER_CHECK(r > 0 && r < (1 << 20), "%s: upscale_factor must be positive, got %ld", name,
                long(r));
    EMBER_CHECK(x.size(-3) % (r * r) == 0,
                "%s: expected a number of channels divisible by the square of upscale_factor %ld, "
                "got shape %s",
                name, long(r), to_string(x.sizes()).c_str());
    const int lead = x.dim() - 3;
    const int64_t c = x.size(-3) / (r * r), h = x.size(-2), w = x.size(-1);
    Dims parts(x.sizes().first(size_t(lead))), order, sizes = parts;
    for (int d = 0; d < lead; d++) order.push_back(d);
    for (int64_t s : {c, r, r, h, w}) parts.push_back(s);
    for (int d : {0, 3, 1, 4, 2}) order.push_back(lead + d);
    for (int64_t s : {c, h * r, w * r}) sizes.push_back(s);
    return reshape(permute(reshape(x, parts), order), sizes);
}

Tensor pixel_unshuffle(const Tensor& x, int64_t downscale_factor) {
    constexpr const char* name = "pixel_unshuffle";
    const int64_t r = downscale_factor;
    EMBER_CHECK(x.dim() >= 3, "%s: expected an input with at least 3 dims, got shape %s", name,
                to_string(x.sizes()).c_str());
    EMBER_CHECK(r > 0 && r < (1 << 20), "%s: downscale_factor must be positive, got %ld", name,
                long(r));
    EMBER_CHECK(x.size(-2) % r == 0 && x.size(-1) % r == 0,
                "%s: expected a height and a width divisible by downscale_factor %ld, got shape %s",
                name, long(r), to_string(x.sizes()).c_str());
    const int lead = x.dim() - 3;
    const int64_t c = x.size(-3), h = x.size(-2) / r, w = x.size(-1) / r;
    Dims parts(x.sizes().first(size_t(lead))), order, sizes = parts;
    for (int d = 0; d < lead; d++) order.push_back(d);
    for (int64_t s : {c, h, r, w, r}) parts.push_back(s);
    for (int d : {0, 2, 4, 1, 3}) order.push_back(lead + d);
    for (int64_t s : {c * r * r, h, w}) sizes.push_back(s);
    return reshape(permute(reshape(x, parts), order), sizes);
}

Tensor channel_shuffle(const Tensor& x, int64_t groups) {
    constexpr const char* name = "channel_shuffle";
    EMBER_CHECK(x.dim() >= 3, "%s: expected an input with at least 3 dims, got shape %s", name,
                to_string(x.sizes()).c_str());
    EMBER_CHECK(groups > 0, "%s: groups must be positive, got %ld", name, long(groups));
    EMBER_CHECK(x.size(1) % groups == 0,
                "%s: expected a number of channels divisible by groups %ld, got shape %s", name,
                long(groups), to_string(x.sizes()).c_str());
    Tensor parts = unflatten(x, 1, {groups, x.size(1) / groups});
    return reshape(transpose(parts, 1, 2), Dims(x.sizes()));
}

}  // namespace ember::ops
