"""Plausible arguments of matrix functions; see `fuzz_recipes.py`."""

from typing import Any

from fuzz_arguments import INTEGERS, Arguments
from fuzz_recipes import Call, floating, recipe, sizes


def wide(make: Arguments) -> str:
    """A dtype that factorisations take."""
    make.dtype = make.draw(["float32", "float64", "float64", "complex64", "complex128"])
    return make.dtype


def real(make: Arguments) -> str:
    make.dtype = make.draw(["float32", "float64"])
    return make.dtype


def whole(make: Arguments) -> str:
    make.dtype = make.draw(INTEGERS)
    return make.dtype


def batch(make: Arguments) -> list[int]:
    return make.draw([[], [], [1], [2], [2, 3], [0]])


def square(make: Arguments, *lead: int) -> Any:
    """Far from singular."""
    (n,) = sizes(make, 1, (0, 1, 2, 3, 5))
    shape = [*(lead or batch(make)), n, n]
    x = make.tensor(shape)
    return x.detach() + 9 * make.torch.eye(n, dtype=x.dtype)


def definite(make: Arguments) -> Any:
    x = square(make)
    return x @ x.mH + make.torch.eye(x.shape[-1], dtype=x.dtype)


SQUARE = (
    "det logdet slogdet inverse inv inv_ex matrix_exp lu lu_factor lu_factor_ex eig eigvals cond "
    "pinv pinverse trace"
)


@recipe(*SQUARE.split())
def of_square(make: Arguments) -> Call:
    wide(make)
    return [square(make)], {}


@recipe("trace", "geqrf", "qr", "svd", "svdvals", "matrix_rank", "matrix_norm", "nuclear_norm")
def of_matrix(make: Arguments) -> Call:
    wide(make)
    return [make.tensor([*(batch(make)), *sizes(make, 2)])], {}


@recipe("cholesky", "cholesky_ex", "eigh", "eigvalsh", "cholesky_inverse")
def of_definite(make: Arguments) -> Call:
    wide(make)
    return [definite(make)], {}


@recipe("svd_lowrank", "pca_lowrank")
def low_rank(make: Arguments) -> Call:
    wide(make)
    return [make.tensor(sizes(make, 2, (3, 5, 7))), make.draw([0, 1, 3])], {}


@recipe("matrix_power")
def matrix_power(make: Arguments) -> Call:
    wide(make)
    return [square(make), make.draw([-2, 0, 1, 5])], {}


@recipe("solve", "solve_ex", "lstsq", "cholesky_solve")
def solved(make: Arguments) -> Call:
    wide(make)
    a = definite(make)
    b = make.tensor([*a.shape[:-1], make.draw([0, 1, 2])])
    return [a, b], {}


@recipe("solve_triangular")
def triangular(make: Arguments) -> Call:
    (a, b), _ = solved(make)
    return [a, b], {"upper": make.chance(0.5), "unitriangular": make.chance(0.5)}


@recipe("triangular_solve")
def old_triangular(make: Arguments) -> Call:
    (a, b), _ = solved(make)
    return [b, a], {"upper": make.chance(0.5), "transpose": make.chance(0.5)}


@recipe("lu_unpack")
def lu_unpack(make: Arguments) -> Call:
    wide(make)
    return list(make.torch.linalg.lu_factor(square(make))), {}


@recipe("lu_solve")
def lu_solve(make: Arguments) -> Call:
    """In the order of linalg's, or of the module's and the method's."""
    (a, b), _ = solved(make)
    factors = list(make.torch.linalg.lu_factor(a))
    return ([*factors, b] if make.chance(0.5) else [b, *factors]), {}


@recipe("householder_product", "orgqr")
def reflectors(make: Arguments) -> Call:
    wide(make)
    lead, n = batch(make), make.draw([0, 1, 3])
    return [make.tensor([*lead, n + make.draw([0, 2]), n]), make.tensor([*lead, n])], {}


@recipe("ormqr")
def reflected(make: Arguments) -> Call:
    (a, tau), _ = reflectors(make)
    return [a, tau, make.tensor([*a.shape[:-1], 2])], {}


@recipe("tensorinv")
def tensorinv(make: Arguments) -> Call:
    wide(make)
    return [make.tensor([1, 2, 2]).detach() + 9, 2], {}


@recipe("tensorsolve")
def tensorsolve(make: Arguments) -> Call:
    wide(make)
    a = square(make, 1)[0]
    return [a, make.tensor([a.shape[0]])], {}


@recipe("multi_dot")
def multi_dot(make: Arguments) -> Call:
    m, k, n = sizes(make, 3)
    return [[make.tensor([m, k]), make.tensor([k, n]), make.tensor([n, m])]], {}


@recipe("chain_matmul")
def chain_matmul(make: Arguments) -> Call:
    return multi_dot(make)[0][0], {}


@recipe("diagonal")
def diagonal(make: Arguments) -> Call:
    return [make.tensor(sizes(make, 3))], {}


@recipe("cross")
def cross(make: Arguments) -> Call:
    shape = [*batch(make), 3]
    return [make.tensor(shape), make.tensor(shape)], {}


@recipe("addbmm", "addbmm_", "baddbmm", "baddbmm_")
def addbmm(make: Arguments) -> Call:
    b, m, k, n = sizes(make, 4, (1, 2, 3))
    return [
        make.tensor([m, n]).detach().clone(),
        make.tensor([b, m, k]),
        make.tensor([b, k, n]),
    ], {}


@recipe("baddbmm", "baddbmm_")
def baddbmm(make: Arguments) -> Call:
    b, m, k, n = sizes(make, 4, (1, 2, 3))
    x = make.tensor([b, m, n]).detach().clone()
    return [x, make.tensor([b, m, k]), make.tensor([b, k, n])], {}


@recipe("addmv", "addmv_")
def addmv(make: Arguments) -> Call:
    m, k = sizes(make, 2)
    return [make.tensor([m]).detach().clone(), make.tensor([m, k]), make.tensor([k])], {}


@recipe("addr", "addr_")
def addr(make: Arguments) -> Call:
    m, n = sizes(make, 2)
    return [make.tensor([m, n]).detach().clone(), make.tensor([m]), make.tensor([n])], {}


@recipe("ger", "outer")
def outer(make: Arguments) -> Call:
    m, n = sizes(make, 2)
    return [make.tensor([m]), make.tensor([n])], {}


@recipe("einsum")
def einsum(make: Arguments) -> Call:
    i, j, k = sizes(make, 3, (0, 1, 2, 5))
    equation = make.draw(["ij,jk->ik", "ij,jk", "ij,jk->", "...j,jk->...k"])
    return [equation, make.tensor([i, j]), make.tensor([j, k])], {}


@recipe("tensordot")
def tensordot(make: Arguments) -> Call:
    i, j, k = sizes(make, 3, (0, 1, 2, 5))
    return [make.tensor([i, j]), make.tensor([j, k])], {"dims": make.draw([1, ([1], [0])])}


@recipe("cdist")
def cdist(make: Arguments) -> Call:
    real(make)
    m, n, k = sizes(make, 3, (0, 1, 3))
    lead = batch(make)
    return [make.tensor([*lead, m, k]), make.tensor([*lead, n, k])], {
        "p": make.draw([0, 1, 2, 3.5])
    }


@recipe("bilinear")
def bilinear(make: Arguments) -> Call:
    floating(make)
    n, a, b, o = sizes(make, 4)
    return [make.tensor([n, a]), make.tensor([n, b]), make.tensor([o, a, b]), make.tensor([o])], {}


@recipe("renorm", "renorm_")
def renorm(make: Arguments) -> Call:
    floating(make)
    return [make.tensor(sizes(make, 3)).detach().clone(), make.draw([1, 2]), 0, 2.0], {}
