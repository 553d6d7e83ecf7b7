"""Lessons: the list of them, or one step of one, as the address says."""

import streamlit as st

from pages import address, lesson_files, lesson_place, lesson_steps

lessons = lesson_files.list_lessons()
lesson = lesson_files.find(lessons, st.query_params.get("lesson", ""))
lesson_place.apply_looks()
if lesson is None:
    lesson_steps.show_list(lessons)
else:
    address.name_window("Lessons", lesson.title)
    lesson_steps.show_lesson(lesson, lessons)
lesson_files.show_problems()
