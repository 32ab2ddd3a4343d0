"""The implementations of the filter, one file each, all answering to one interface.

Every backend is a module with ``permutohedral_filter(features, values, blur)`` and
``bilateral_filter(image, values, sigma_rgb, sigma_xy, blur)``.
"""
