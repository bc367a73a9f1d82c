from sknode import __version__

project = "sknode"
author = "The sknode developers"
copyright = f"2026, {author}"
release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "matplotlib.sphinxext.plot_directive",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["_build"]
html_theme = "pydata_sphinx_theme"
html_title = "sknode"
html_show_sourcelink = False
html_static_path = ["_static"]
html_theme_options = {"header_links_before_dropdown": 6, "show_prev_next": False}

# Inherited members of torch and scikit-learn link to pages that are not here.
numpydoc_show_class_members = False

plot_formats = [("png", 90)]
plot_html_show_formats = False
plot_html_show_source_link = False

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"plot_.*\.py",
}
