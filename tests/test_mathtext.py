import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.mathtext import plain_math


@pytest.mark.parametrize(
    ("tex", "plain"),
    [
        (r"\nu", "ν"),
        (r"$\hat\theta = \arg\max_\theta L(\theta)$", "θ̂ = arg max_θ L(θ)"),
        (r"$O(n^2)$ steps in $\mathbb{R}^{d}$", "O(n²) steps in ℝᵈ"),
        (r"$\{x_i\}_{i=1}^n$", "{xᵢ}ᵢ₌₁ⁿ"),
        (r"$$\frac{\partial u}{\partial t} = \nabla^2 u$$", "(∂ u)/(∂ t) = ∇² u"),
        (r"$\lVert x \rVert \le \sqrt{x+1}$", "‖ x ‖ ≤ √(x+1)"),
        (r"$W^{k,p}(\Omega)$", "W^(k,p)(Ω)"),
        (r"\(\ell_1\) and \[\ell_2\]", "ℓ₁ and ℓ₂"),
        (r"$\operatorname*{argmin}_x \mathrm{KL}(p \,\|\, q)$", "argminₓ KL(p ‖ q)"),
        (r"$\unheard{x}$", "unheard x"),
    ],
)
def test_a_formula_becomes_unicode(tex, plain):
    assert plain_math(tex) == plain


@pytest.mark.parametrize(
    ("tex", "plain"),
    [
        (r"the \alpha-stable case of \hat{\theta}_n in \mathbb R^n", "the α-stable case of θ̂ₙ in ℝⁿ"),
        (r"\emph{very} \textbf{bold}", "very bold"),
        (r"Schr\"odinger, Poincar\'{e}", "Schrödinger, Poincaré"),
        (r"5\% of \$3 \& more", "5% of $3 & more"),
    ],
)
def test_a_command_outside_of_a_formula_becomes_unicode(tex, plain):
    assert plain_math(tex) == plain


@pytest.mark.parametrize(
    "text",
    [
        "$5 and $6",
        "costs $5, not 6$ or US$",
        "file_1^2 {x}",
        r"C:\New\file",
        r"\N",
        "\\",
        "$",
        "$$",
        "$$$",
        r"\(",
        "学费$5元",
    ],
)
def test_what_is_no_formula_stays(text):
    assert plain_math(text) == text


PIECES = [*"\\$_^{}()[] abN5αn\n", r"\frac", r"\hat", r"\mathbb", r"\nu", r"\sqrt"]


@given(st.lists(st.sampled_from(PIECES)).map("".join))
def test_any_text_comes_out_as_a_text_without_placeholders(text):
    assert set(plain_math(text)).isdisjoint("\x01\x02\x03\x04")


@given(st.text(st.characters(exclude_characters="\\$", exclude_categories=["Cs"])))
def test_a_text_without_backslash_and_dollar_comes_back_itself(text):
    assert plain_math(text) is text
