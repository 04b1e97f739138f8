"""Has harness/kernel_answers.py answer QUESTIONS into ANSWERS, both in the guest's folder."""

import os

from harness import kernel_answers

import system_calls

system_calls.load_modules("loop", "dm-thin-pool", "dm-cache", "dm-cache-smq", "dm-zero")
kernel_answers.main(os.environ["QUESTIONS"], os.environ["ANSWERS"])
