"""A calendar and notification daemon for scientific seminars: one talk list in, feed, pages and mail out."""

__version__ = "0.1.0"
