#!/bin/bash
# Has kernel_answers.py answer QUESTIONS into ANSWERS, both in the guest's folder.
load_module loop
load_module dm-cache
load_module dm-cache-smq
load_module dm-zero
/usr/bin/python3 "$KLIB/../harness/kernel_answers.py" "$QUESTIONS" "$ANSWERS"
