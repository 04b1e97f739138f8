# `cmake --install` puts down the programs and the tank as a library: find_package(wavetank) gives
# the target wavetank::sim, for `#include "sim/tank.h"`; that alone is the component `tank`.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

if(TARGET wavetank)
  install(TARGETS wavetank RUNTIME COMPONENT programs)
endif()
if(TARGET wavetankd)
  install(TARGETS wavetankd RUNTIME COMPONENT programs)
endif()
foreach(library wavetank_engine wavetank_traces wavetank_sim)
  install(FILES $<TARGET_FILE:${library}> DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT tank)
endforeach()
foreach(folder engine/base engine/fiber engine/env sim traces)
  install(DIRECTORY ${CMAKE_SOURCE_DIR}/${folder}
          DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/wavetank/${folder}/..
          COMPONENT tank FILES_MATCHING PATTERN "*.h" PATTERN "program" EXCLUDE)
endforeach()

set(config_folder ${CMAKE_INSTALL_LIBDIR}/cmake/wavetank)
configure_package_config_file(cmake/wavetankConfig.cmake.in
  ${CMAKE_BINARY_DIR}/wavetankConfig.cmake INSTALL_DESTINATION ${config_folder}
  PATH_VARS CMAKE_INSTALL_LIBDIR CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/wavetankConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/wavetankConfig.cmake
              ${CMAKE_BINARY_DIR}/wavetankConfigVersion.cmake
        DESTINATION ${config_folder} COMPONENT tank)
