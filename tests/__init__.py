"""The tests, as a tree like the package's; a package so that they can share helpers."""
