// How this program runs under a sanitizer: the first report ends the process, which is what a
// search takes for a finding.
#if defined(__SANITIZE_THREAD__)
extern "C" const char* __tsan_default_options();
extern "C" const char* __tsan_default_options() {
  return "halt_on_error=1:exitcode=66";
}
#endif
