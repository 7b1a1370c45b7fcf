"""Whole pages as Markdown: what is asked, how an answer is read, and what lines alone give.

    page -> lines in reading order -> prompt -> front matter and text -> turned? looping? -> page

`parse.py` reads as that sentence.
"""
