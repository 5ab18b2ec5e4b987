foreach(name edns name query rdata reply)
	godwit_unit_test(${name} godwit_dns)
endforeach()
target_link_libraries(test_reply PRIVATE PkgConfig::LDNS)
