#pragma once

#include "kernels/formulas/math.h"

// Bessel functions on vectors of double: near 0 polynomials in x^2 of the entire functions in their
// power series (DLMF 10.2.2, 10.8, 10.25.2, 10.31), far from 0 of what the leading term of the
// asymptotic series (10.17.3, 10.40) is multiplied by. Every polynomial is a minimax fit as in
// exponential.h, to 2^-57 or better, about the middle of its range where it would cancel at 0.
namespace ember::formulas {

// The orders are 0 and 1, given with the rest in vectors of one number: each kind is one loop.

// Modified functions of the first kind, times e^-|x| where `scale` is 1.
template <class V>
EMBER_FORMULA V modified_first_bessel(V which, V scale, V x) {
    bool order = uniform_item(which) == 1, scaled = uniform_item(scale) == 1;
    V y = abs(x), square = y * y, infinity(__builtin_inf()), value;
    if (order == 0)
        value = horner(square, 0x1p+0, 0x1p-2, 0x1.ffffffffffffep-7, 0x1.c71c71c71c748p-12,
                       0x1.c71c71c71c381p-18, 0x1.23456789ae94cp-24, 0x1.02e85c086d1eap-31,
                       0x1.522a43f9f2d98p-39, 0x1.522a43c02b786p-47, 0x1.0b3134d493408p-55,
                       0x1.560163c57bec3p-64, 0x1.69cc4f874ff23p-73, 0x1.4188a2a36fe83p-82,
                       0x1.e7ea223f68c7bp-92, 0x1.3a79087a466b4p-101, 0x1.8285de373a921p-111,
                       0x1.faf00ad6556cap-122, 0x1.29cb0d121b125p-130);
    else
        value = y * horner(square, 0x1p-1, 0x1.fffffffffffffp-5, 0x1.555555555556cp-9,
                           0x1.c71c71c71c41bp-15, 0x1.6c16c16c19fabp-21, 0x1.845c8a0ca40cp-28,
                           0x1.27e4fb7ad362ap-35, 0x1.522a43bc9adbbp-43, 0x1.2c975ba51498p-51,
                           0x1.ab81b8a75e6acp-60, 0x1.f17922adaf60dp-69, 0x1.e24b0ae3047cfp-78,
                           0x1.8c7a7c7902c9ap-87, 0x1.12f401d309d48p-96, 0x1.6b937843ca963p-106,
                           0x1.f2bcaf073c856p-117, 0x1.3f8141260341p-125);
    if (scaled) value = value * exp(-y);
    auto far = y > V(10);
    if (any(far)) {
        V inverse = V(1) / y, large;
        if (order == 0)
            large = horner(inverse, 0x1.9884533d43651p-2, 0x1.9884533d4363p-5, 0x1.cb94dda66481p-6,
                           0x1.debb0c6af41bp-6, 0x1.6e8b0d74409b2p-5, 0x1.717dd09eb4cdfp-4,
                           0x1.22070b4546bd2p-2, -0x1.2331a9135b35ap+2, 0x1.6af842afbe48dp+8,
                           -0x1.1f9adb6c123c4p+14, 0x1.5bd48cbaf7392p+19, -0x1.4255d9d64bc1dp+24,
                           0x1.cd0cbf090676p+28, -0x1.fd44fdcb36a55p+32, 0x1.b03f63b0484f8p+36,
                           -0x1.1698f04402d8fp+40, 0x1.0b1ce738405d9p+43, -0x1.701684982ac42p+45,
                           0x1.57c21d1d4ae74p+47, -0x1.850149289f287p+48, 0x1.924fe0a8fec3bp+48);
        else
            large =
                horner(inverse, 0x1.9884533d43651p-2, -0x1.32633e6df286bp-3, -0x1.7efc0e0a8ae06p-5,
                       -0x1.4f1c88f5d6fbcp-5, -0x1.d744cd39c1b4ep-5, -0x1.c3ae17d48caf2p-4,
                       -0x1.54b9d3829f7fep-2, 0x1.46b8157895d7bp+2, -0x1.938d7ce1b099cp+8,
                       0x1.3c73c0fe2f75ap+14, -0x1.7b88b5d7ff25fp+19, 0x1.5d4517308d3b5p+24,
                       -0x1.f09f483444885p+28, 0x1.10e18e137b84ep+33, -0x1.cd271fee20fe9p+36,
                       0x1.280dcf7e52858p+40, -0x1.1ad94b11225b1p+43, 0x1.8488df60ee53ep+45,
                       -0x1.69cefdec723a5p+47, 0x1.985b0f0ab1297p+48, -0x1.a54ecefefe958p+48);
        large = large * sqrt(inverse);
        if (!scaled) {
            V root = exp(V(0.5) * y);  // e^y may overflow where the result does not
            large = select(y == infinity, y, root * large * root);
        }
        value = select(far, large, value);
    }
    return order == 0 ? value : copysign(value, x);
}

// Those of the second kind, times e^x where `scale` is 1.
template <class V>
EMBER_FORMULA V modified_second_bessel(V which, V scale, V x) {
    bool order = uniform_item(which) == 1, scaled = uniform_item(scale) == 1;
    V t = V(1) / (V(1) + x), s = t - V(0.25), value;
    if (order == 0)
        value = horner(s, 0x1.356417a9f2ee9p+0, -0x1.a932e00d7034p-3, -0x1.287ae72aac0cfp-3,
                       -0x1.334777d996fffp-3, -0x1.2d443241a4a2p-3, -0x1.55615cf8d51ddp-3,
                       -0x1.6d1e8952bbe6bp-3, -0x1.b490081c747f1p-3, -0x1.e1fed6785b89fp-3,
                       -0x1.2dfae23e0fb81p-2, -0x1.4cf6c15d642b7p-2, -0x1.baaa4b653ee97p-2,
                       -0x1.d177e7333c98dp-2, -0x1.5c2983730e19bp-1, -0x1.51a9abe16e64cp-1,
                       -0x1.f29222435f17cp-1, -0x1.0ee0f643d1a88p-6, -0x1.33e6ff6f0d642p+2,
                       -0x1.c9f966ada78cfp+2, 0x1.1fed1d2ebadfp+4, 0x1.3298269229677p+5,
                       -0x1.e64c33464ab4ap+6);
    else
        value = horner(
            s, 0x1.65a260862b35ep+0, 0x1.6b98e74488345p-1, 0x1.6595f9d3a0714p-1,
            0x1.9e097c3c5eee1p-1, 0x1.e40761939ff07p-1, 0x1.276b51f38c7e7p+0, 0x1.68d7d91c7d07ep+0,
            0x1.c3cd0a8a16243p+0, 0x1.197da15b86595p+1, 0x1.66222844db7e9p+1, 0x1.c2c137d1c0b22p+1,
            0x1.22714ec71b7c7p+2, 0x1.6eb0e1f3bf1fbp+2, 0x1.dff210807967p+2, 0x1.2d6230fd6cbb6p+3,
            0x1.8a2ceac0c0ae4p+3, 0x1.e853d9044eb9dp+3, 0x1.94ff87f633f41p+4, 0x1.a58670573a365p+4,
            0x1.6ed69f3310cap+1, 0x1.2a462fd40e355p+5, 0x1.e0f831f05357dp+7);
    value = value / sqrt(x);
    if (!scaled) value = value * exp(-x);
    auto near = x <= V(1);
    if (any(near)) {
        V square = x * x, logarithm = log(x), small;
        if (order == 0) {
            V first = horner(square, 0x1p+0, 0x1.0000000000001p-2, 0x1.ffffffffffe5cp-7,
                             0x1.c71c71c7371c9p-12, 0x1.c71c71ac8f6d4p-18, 0x1.234575daf3b81p-24,
                             0x1.02dfd33d1da8ap-31, 0x1.5772eaa55f3fcp-39);
            small = horner(square, 0x1.dadb014541eb2p-4, 0x1.1dadb014541edp-2, 0x1.9dadb01453f6ep-6,
                           0x1.bb90e85e13c84p-11, 0x1.f474766fb8beap-17, 0x1.5d6b28854b608p-23,
                           0x1.4c1f23bb7b85ep-30, 0x1.d18db6419b642p-38) -
                    logarithm * first;
        } else {
            V first = horner(square, 0x1p-1, 0x1p-4, 0x1.55555555554f5p-9, 0x1.c71c71c728964p-15,
                             0x1.6c16c16014c46p-21, 0x1.845c96ed5fbb7p-28, 0x1.27dd57e51c3f9p-35,
                             0x1.56e02e9bdab26p-43);
            V rest = horner(square, -0x1.3b5b6028a83d6p-2, -0x1.5dadb014541ecp-4,
                            -0x1.303ae729ff27ep-8, -0x1.d802af7a6fc23p-14, -0x1.a2918212c31a5p-20,
                            -0x1.e212b2dcc7d86p-27, -0x1.86258ae34b227p-34, -0x1.db68b414cb973p-42);
            small = select(x == V(0), V(0), x * fma(logarithm, first, rest)) + V(1) / abs(x);
        }
        if (scaled) small = small * exp(x);
        value = select(near, small, value);
    }
    return value;
}

// The others, of the first or the second kind. Beyond 8, sqrt(pi x / 2) times the one of the first
// is p cos(t) - q sin(t), the one of the second p sin(t) + q cos(t), with t = x - (order + 1/2) pi
// / 2.
template <class V>
EMBER_FORMULA V bessel(V which, V number, V x) {
    bool order = uniform_item(which) == 1, second = uniform_item(number) == 2;
    V y = second ? x : abs(x), square = y * y, s = square - V(32), first, value;
    if (order)
        first = y * horner(s, -0x1.dc5071f1209f4p-5, 0x1.4c042a76a3d9ap-9, 0x1.364e5cb5ceb28p-13,
                           -0x1.09d33c82734c7p-17, 0x1.44c7908bb21fap-23, -0x1.c07a4d5a245f1p-30,
                           0x1.982f5536aba5fp-37, -0x1.09f3448afe98ep-44, 0x1.059d31145ab5ap-52,
                           -0x1.936bb43fe220cp-61, 0x1.f58f15d1b9cb7p-70, -0x1.00fdba82c1442p-78,
                           0x1.b9f2b1ce67719p-88, -0x1.439664b169036p-97, 0x1.9a369cd23cb36p-107,
                           -0x1.c2f600c18fc18p-117);
    else
        first = fma(square,
                    horner(s, -0x1.e88903a07b1d8p-6, 0x1.e26cbac8cdde6p-10, -0x1.443768020fe59p-14,
                           0x1.b98fe78aeb544p-20, -0x1.5f795610f00f1p-26, 0x1.6e99f01e53052p-33,
                           -0x1.0e76f23396054p-40, 0x1.29ba9e59a28eep-48, -0x1.fc759ce9ba5ccp-57,
                           0x1.5af149b6ce8a2p-65, -0x1.834b98c94c2c7p-74, 0x1.68671f3cd94ffp-83,
                           -0x1.1bf71616b3652p-92, 0x1.7fe238156353bp-102, -0x1.c3d7042cd5a64p-112,
                           0x1.cfec897bbd5a2p-122),
                    V(1));
    if (second) {
        V two_by_pi(0.63661977236758134308), product = first * log(x);
        if (order) {
            V rest = horner(s, 0x1.21d516f81acf6p-4, -0x1.f26fddceafd0ep-8, 0x1.7edab31507ce5p-16,
                            0x1.e16d7a1d07b7p-18, -0x1.923952d7c4256p-23, 0x1.41bb6917b15cdp-29,
                            -0x1.4198f92a3330fp-36, 0x1.c097bb98fe5bfp-44, -0x1.d1604f9b9237ep-52,
                            0x1.76c164b7d9c0ep-60, -0x1.e3516b2bc8ab1p-69, 0x1.ff34fd50ce11dp-78,
                            -0x1.c3f04eec8f0fdp-87, 0x1.532e8c5bb7e0dp-96, -0x1.b7b8cf83f4b6bp-106,
                            0x1.ed3de83aeb903p-116);
            value = fma(x, rest, two_by_pi * (product - V(1) / x));
            value = select(x == V(0), V(-__builtin_inf()), value);
        } else {
            value =
                fma(two_by_pi, product,
                    horner(s, -0x1.876cb72f1c7ebp-2, -0x1.a828bfbfdc936p-6, 0x1.a5a81d661f788p-10,
                           0x1.272bb3b608b4ep-18, -0x1.13da2b14a486ep-20, 0x1.58279811359ffp-26,
                           -0x1.c06cc647f6a9ap-33, 0x1.7bd6bf2cea1ddp-40, -0x1.cc706012368cap-48,
                           0x1.a6a8c6c8b15b2p-56, -0x1.31537c5c83a92p-64, 0x1.651b8fa0c8c59p-73,
                           -0x1.5995ab94d7533p-82, 0x1.1997d4bca9547p-91, -0x1.88003dd12f80dp-101,
                           0x1.d9b40de898001p-111, -0x1.f1bc9ea775034p-121));
        }
    } else {
        value = first;
    }
    auto far = y > V(8);
    if (any(far)) {
        V inverse = V(1) / y, p, q, cosine, sine = sine_cosine(y, cosine);
        square = inverse * inverse;
        if (order) {
            p = horner(square, 0x1p+0, 0x1.dffffffffeb48p-4, -0x1.274ffff638f12p-3,
                       0x1.5a6a49674abd3p-1, -0x1.b88c52dfafd6fp+2, 0x1.e5b5b511b9876p+6,
                       -0x1.95e833e8f3887p+11, 0x1.c1b58ac1b9fc8p+16, -0x1.14c2330bc3ae1p+22,
                       0x1.38aac1105a2c2p+27, -0x1.113fe6cb3367ap+32, 0x1.355ffbca4b0c8p+36,
                       -0x1.4a7eef308624p+39);
            q = horner(square, 0x1.8p-2, -0x1.a3fffffffd627p-4, 0x1.1c3cfff47fb51p-2,
                       -0x1.fe580472b2936p+0, 0x1.b3f6957ba5342p+4, -0x1.2d99306946b92p+9,
                       0x1.30397ea1a751ap+14, -0x1.91c415e9a33f1p+19, 0x1.2c1295187a25fp+25,
                       -0x1.ae3d2d6841e84p+30, 0x1.003f4ad8f7c18p+36, -0x1.bf2dbf5a57f25p+40,
                       0x1.ec5df47e20f46p+44, -0x1.f9a70e752bb21p+47);
        } else {
            p = horner(square, 0x1p+0, -0x1.1ffffffffec66p-4, 0x1.cb5fffed7f743p-4,
                       -0x1.251eda301db77p-1, 0x1.84b7aef006615p+2, -0x1.b76c524429c29p+6,
                       0x1.753f822cc8455p+11, -0x1.a1e0bb69a5532p+16, 0x1.02c6090a4d0d6p+22,
                       -0x1.255d8f7d0daecp+27, 0x1.00e116ef9988p+32, -0x1.232b7f79a08b8p+36,
                       0x1.37441763595cap+39);
            q = horner(square, -0x1p-3, 0x1.2bfffffffd836p-4, -0x1.d11dffea21566p-3,
                       0x1.ba4c466f773dp+0, -0x1.861243859c1aap+4, 0x1.135c3454ea126p+9,
                       -0x1.199761c6cb3b7p+14, 0x1.774faab54764p+19, -0x1.19eacc025ed8ap+25,
                       0x1.9589f60001167p+30, -0x1.e3f8b384d9d41p+35, 0x1.a6bf676087fa7p+40,
                       -0x1.d1c5f16d10355p+44, 0x1.de8a949d42ffp+47);
        }
        q = q * inverse;
        // sqrt(2) times the cosine and sine of t.
        V c = order ? sine - cosine : sine + cosine;
        V s = order ? -(sine + cosine) : sine - cosine;
        V wave = second ? fma(p, s, q * c) : p * c - q * s;
        wave = wave * sqrt(inverse * V(0.31830988618379067154));
        value = select(far, select(y == V(__builtin_inf()), V(0), wave), value);
    }
    return order && !second ? select(x < V(0), -value, value) : value;
}

// Airy's function Ai: two power series in x^3 (DLMF 9.4.1), or what multiplies the leading terms of
// its expansions (9.7.5, 9.7.9) by z = 2/3 |x|^(3/2).
template <class V>
EMBER_FORMULA V airy(V x) {
    V cube = x * x * x, t = cube + V(45);
    V f = horner(t, -0x1.df9e3044d29cdp-4, -0x1.57353ae135e83p-7, 0x1.18eb7a22068d2p-14,
                 0x1.58bed38bd99a2p-18, 0x1.0bae16b800fbdp-24, 0x1.a3663c8d6791ap-32,
                 0x1.9bdef0b3f9d55p-40, 0x1.18ed2cc8bd509p-48, 0x1.1b51d43d3d644p-57,
                 0x1.b8ff5f14019f7p-67, 0x1.115c6d9aced6fp-76, 0x1.14973866ba962p-86,
                 0x1.d1d015acd7a56p-97, 0x1.4c806a3cd3cf4p-107, 0x1.957695a34b2c6p-118);
    V g = horner(t, 0x1.10b1073597a75p-4, 0x1.4d15a3700258ep-11, -0x1.31425eac0bedp-14,
                 -0x1.97d9ab659c545p-20, -0x1.c43652c55f4d1p-27, -0x1.21d24f9abc8f9p-34,
                 -0x1.ebf10cf3f3745p-43, -0x1.2ad2c2df8cae4p-51, -0x1.1197c3f113039p-60,
                 -0x1.87d6559f9a01dp-70, -0x1.c374bb365fdb1p-80, -0x1.abd1d1c16ebdp-90,
                 -0x1.538079f17da59p-100, -0x1.cafdd3c313085p-111, -0x1.0a3b0faf6423fp-121);
    V value = fma(x, g, f);
    auto right = x > V(1), left = x < V(-4.5);
    if (any(right | left)) {
        V y = abs(x), root = sqrt(y), z = V(2.0 / 3) * y * root, front = V(1) / sqrt(root);
        if (any(right)) {
            V s = V(1) / (V(1) + z) - V(0.3);
            V decay = horner(s, 0x1.19b0caa216091p-2, -0x1.d1bf77cdbfba3p-6, -0x1.71cc743c23245p-6,
                             -0x1.970a688e29d7cp-6, -0x1.bcd59e8c06c23p-6, -0x1.0b0c60cd6e964p-5,
                             -0x1.3e113dbf71d7p-5, -0x1.8f6f59fc44b64p-5, -0x1.efa14371e66a2p-5,
                             -0x1.403051286c618p-4, -0x1.96915ffd16642p-4, -0x1.0c3d43aedcb7dp-3,
                             -0x1.59094e8bc1c52p-3, -0x1.cf009190ea2c6p-3, -0x1.2c13e06042ddbp-2,
                             -0x1.a144670563615p-2, -0x1.05fd2d06d2259p-1, -0x1.3f9d4f808d0e1p-1,
                             -0x1.fad36f751d82ap-1, -0x1.29e2bf56febe3p+1, -0x1.0ee3acb6efb75p+0,
                             0x1.ac9ad696b32aep+1, -0x1.676732c10b2dcp+2, -0x1.6a32a16cf8466p+4);
            value = select(right, decay * front * exp(-z), value);
        }
        if (any(left)) {
            V inverse = V(1) / z, square = inverse * inverse;
            V p = horner(square, 0x1p+0, -0x1.30329161f7084p-5, 0x1.d8431d4c76e8fp-5,
                         -0x1.2a96d96053e2fp-2, 0x1.8a23ebc349fbap+1, -0x1.bc2ea9dccc5fp+5,
                         0x1.7804921062f55p+10, -0x1.a423bbd8933ap+15, 0x1.07d9438ddd2ddp+21,
                         -0x1.3dae26885b284p+26, 0x1.43d09a4ee94fep+31, -0x1.fc7fd93fa0597p+35,
                         0x1.18d5f994bfd99p+40, -0x1.7f7621c95fec5p+43, 0x1.e387f05ef4d0cp+45);
            V q = inverse *
                  horner(square, 0x1.1c71c71c71c72p-4, -0x1.373d384db754bp-5, 0x1.db8ab11ef584bp-4,
                         -0x1.c15d814c14a5cp-1, 0x1.8aeac2c9f38b9p+3, -0x1.163b3838cb02p+8,
                         0x1.1cf155480249p+13, -0x1.81aed8dbf6f1ap+18, 0x1.310309436bf6ep+24,
                         -0x1.ebbca280a9f3dp+29, 0x1.6852663fda491p+35, -0x1.ba50ed9965e23p+40,
                         0x1.ac077298257e5p+45, -0x1.34a43b0a7e5bdp+50, 0x1.34fc2b793a535p+54,
                         -0x1.7d29ed3772895p+57, 0x1.b2f56a3d53cp+59);
            V cosine, sine = sine_cosine(z, cosine);
            V wave = fma(p, sine + cosine, q * (sine - cosine));
            value = select(left, wave * front * V(0.39894228040143267794), value);
        }
    }
    return select(abs(x) == V(__builtin_inf()), V(__builtin_nan("")), value);
}

// sin(x) / x.
template <class V>
EMBER_FORMULA V spherical_bessel(V x) {
    V y = select(abs(x) < V(1e-9), V(1), sin(x) / x);
    return select(abs(x) == V(__builtin_inf()), V(0), y);
}

}  // namespace ember::formulas
