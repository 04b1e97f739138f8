# Each scenarios/mutants/*.patch becomes mutants/NAME/wavetank in the build folder: the tank around
# an engine that has one historical bug again. Target `mutants` builds them all.
function(wavetank_mutants)
  if(NOT TARGET wavetank)
    return()
  endif()
  find_package(Python3 REQUIRED COMPONENTS Interpreter)
  file(GLOB patches CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/scenarios/mutants/*.patch)
  set(builder ${CMAKE_SOURCE_DIR}/scenarios/mutants/build.py)
  set(programs)
  foreach(patch IN LISTS patches)
    get_filename_component(name ${patch} NAME_WLE)
    set(out ${CMAKE_BINARY_DIR}/mutants/${name})
    add_custom_command(
      OUTPUT ${out}/wavetank
      COMMAND ${Python3_EXECUTABLE} ${builder} --build ${CMAKE_BINARY_DIR} --patch ${patch}
              --out ${out} --jobs 1
      DEPENDS wavetank ${patch} ${builder}
      COMMENT "Mutant ${name}")
    list(APPEND programs ${out}/wavetank)
  endforeach()
  add_custom_target(mutants DEPENDS ${programs})
endfunction()
wavetank_mutants()
