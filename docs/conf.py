"""Sphinx: pages in Markdown, the reference from docstrings, and nothing fetched from anywhere."""

import builtins
import re
from importlib import import_module
from importlib.metadata import version as version_of
from itertools import pairwise

from engagelib.actions import next_best_action
from engagelib.actions.customers import Audience

project = "engagelib"
author = "the engagelib authors"
project_copyright = author
version = release = version_of("engagelib")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["**/_*"]
html_theme = "furo"
html_title = f"engagelib {version}"
html_copy_source = False
smartquotes = False
html_theme_options = {"navigation_with_keys": True}
myst_heading_anchors = 3
myst_enable_extensions = ["colon_fence", "fieldlist"]

add_module_names = False
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80

# Names in single backticks become links where they are names of ours, and are code elsewhere. With `nitpicky`
# a name that begins with ours and leads nowhere is an error, here and in the types of signatures.
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [("py:.*", r"(?!engagelib\.).*")]
nitpick_ignore = [
    ("py:class", "engagelib.availability.offers.Offers"),  # of a constructor that is not for callers
    ("py:class", "engagelib.store._restoring._Object"),  # a type variable
    ("py:class", "engagelib.evaluation._evaluating.Options"),  # of arguments that are told one by one
    ("py:class", "engagelib.evaluation._implicit.Lists"),  # of an adapter, for its judge alone
    ("py:class", "engagelib.recommender.foundation.Foundation"),  # of a recommender, for another of its kind
    ("py:class", "engagelib.recommender.serving.Serving"),  # what actions read, and no caller
    ("py:class", "engagelib.actions.customers.account.Account"),  # of a table that is not for callers to make
    ("py:class", "engagelib.actions.decisions.files.Connections"),  # of a step that the log makes
]

# Two classes are called so, and this one's module names it for type checkers alone.
next_best_action.Audience = Audience

_TITLE = re.compile(r"[A-Z][a-z]+( [a-z]+)*")
_OF_NAMES = ("Parameters", "Attributes", "Columns of the input", "Options", "Returns")
_ENTRY = re.compile(r"[\w.*]+(, [\w.*]+)*")
_CALL = re.compile(r"(?<!`)`([\w.]+)\(\)`(?!`)")
_PLURAL = re.compile(r"(`[^`]+`)(?=\w)")


def _write_sections(_app, _what, _name, _obj, _options, lines):
    """Make headings of a docstring's sections, and code of the names that they define.

    What is left is reStructuredText as it stands: a name with an indented text below is an entry of a
    definition list, and `Returns` may be sentences, in which numpydoc and napoleon see one type a line.
    """
    section, fenced, written = None, False, []
    for line, below in pairwise([*lines, ""]):
        if line.startswith("```"):
            fenced = not fenced
            written += [f".. code-block:: {line[3:]}", ""] if fenced else [""]
        elif fenced:
            written.append(f"   {line}")
        elif _TITLE.fullmatch(line) and below == "-" * len(line):
            section = line
            written.append(f".. rubric:: {line}")
        elif section and line == "-" * len(section):
            written.append("")
        elif _ENTRY.fullmatch(line) and below.startswith("    ") and section in (*_OF_NAMES, "Raises"):
            role = "``{}``".format if section in _OF_NAMES else _error_role
            written.append(", ".join(map(role, line.split(", "))))
        else:
            written.append(_PLURAL.sub(r"\1\\ ", _CALL.sub(r":py:func:`\1`", line)))
    lines[:] = written


def _error_role(name):
    return f":py:exc:`{'' if hasattr(builtins, name) else '~engagelib.errors.'}{name}`"


def _find_elsewhere(app, env, node, content):
    """Resolve a name of ours that is documented in another module, or under another name, than it is said.

    These are `engagelib.evaluation.compare`, which stands on its page as `engagelib.compare`, and classes
    without a module, such as `Model`, where there is one of that name.
    """
    target = node.get("reftarget", "")
    if node.get("refdomain") != "py" or not target:
        return None
    python, last = env.domains.python_domain, target.rpartition(".")[2]
    if target.startswith("engagelib."):
        names = [name for name in python.objects if name.endswith(f".{last}") and _named(name) is not None]
        names = [name for name in names if _named(name) is _named(target)][:1]
    elif target[0].isupper():
        entries = python.objects.items()
        names = [name for name, entry in entries if name.endswith(f".{target}") and not entry.aliased]
    else:
        return None
    if len(names) != 1:
        return None
    return python.resolve_xref(env, node["refdoc"], app.builder, "obj", names[0], node, content)


def _named(name):
    """Return what a member of one of our modules is, None where there is none of this name."""
    module, _, member = name.rpartition(".")
    try:
        return getattr(import_module(module), member, None)
    except ImportError:
        return None


def setup(app):
    """Connect what stands above."""
    app.connect("missing-reference", _find_elsewhere)
    app.connect("autodoc-process-docstring", _write_sections)
    return {"parallel_read_safe": True}
