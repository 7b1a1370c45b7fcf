"""TeX that KaTeX sets: formulas from patterns with drawn letters and numbers."""

import random

# `@` is a variable, `%` a function, `&` a Greek letter, `#` a number from 2 to 9.
_INLINE = (
    "@ = #@ + #",
    "@_{#} > 0",
    "% (@) = @^{#} - #",
    "\\& \\in [0, 1]",
    "@ \\leq #@",
    "\\frac{@}{#}",
    "\\sqrt{@ + #}",
    "@_{i} \\neq @_{j}",
    "e^{-\\&@}",
    "\\& = 0.0#",
    "@ \\to \\infty",
    "\\log_{#} @",
    "@^{#} + @^{#}",
    "|@ - #| < \\&",
    "n = #0#",
)
_BLOCK = (
    "% (@) = \\int_{0}^{\\infty} @^{#} e^{-#@} \\, d@",
    "\\sum_{k=1}^{n} k^{#} = \\frac{n(n+1)}{#}",
    "\\frac{\\partial %}{\\partial @} + #\\& \\frac{\\partial %}{\\partial t} = 0",
    "\\begin{pmatrix} # & @ \\\\ @ & # \\end{pmatrix} \\begin{pmatrix} x \\\\ y \\end{pmatrix} = 0",
    "% (@) = \\begin{cases} #@ & @ < 0 \\\\ @^{#} & @ \\geq 0 \\end{cases}",
    "\\lim_{@ \\to 0} \\frac{\\sin #@}{@} = #",
    "\\bar{@} = \\frac{1}{n} \\sum_{i=1}^{n} @_{i}",
    "\\sigma^{2} = \\frac{1}{n-1} \\sum_{i=1}^{n} (@_{i} - \\bar{@})^{2}",
    "P(A \\mid B) = \\frac{P(B \\mid A) \\, P(A)}{P(B)}",
    "\\sqrt[#]{@^{#} + @} \\leq #\\&",
    "\\prod_{j=1}^{#} \\left( 1 - \\frac{@_{j}}{#} \\right) \\geq \\&",
    "@ = \\frac{-b \\pm \\sqrt{b^{2} - #ac}}{#a}",
    "\\nabla^{2} % = \\& \\frac{\\partial^{2} %}{\\partial t^{2}}",
    "\\left\\| A@ - b \\right\\|_{2}^{2} + \\& \\left\\| @ \\right\\|_{1}",
    "\\hat{@} = \\arg\\min_{@} \\sum_{i=1}^{n} \\left( %(@_{i}) - #\\right)^{2}",
    "\\oint_{C} % \\, d@ = #\\pi i \\sum_{k} r_{k}",
)
_VARIABLES = "xyzuvwabpqst"
_FUNCTIONS = ("f", "g", "h", "F", "G", "\\varphi", "\\psi")
_GREEK = ("alpha", "beta", "gamma", "lambda", "mu", "theta", "delta", "kappa")


def inline(rng: random.Random) -> str:
    """A short formula for a line of text."""
    return _filled(rng, rng.choice(_INLINE))


def displayed(rng: random.Random) -> str:
    """A formula that stands by itself."""
    return _filled(rng, rng.choice(_BLOCK))


def _filled(rng: random.Random, pattern: str) -> str:
    """The pattern with one variable and one function throughout, and new numbers each time."""
    variable, function, greek = rng.choice(_VARIABLES), rng.choice(_FUNCTIONS), rng.choice(_GREEK)
    # The space ends a command's name: `\alpha t`, not `\alphat`.
    text = pattern.replace("%", f"{function} ").replace("@", variable)
    text = text.replace("\\&", f"\\{greek} ")
    return "".join(str(rng.randint(2, 9)) if sign == "#" else sign for sign in text)
