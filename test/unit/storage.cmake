foreach(name sqlite_follow)
	godwit_unit_test(${name} godwit_storage PkgConfig::SQLITE)
	target_sources(test_${name} PRIVATE sqlite_fixture.c)
endforeach()
