foreach(name address admin backoff config log metrics program)
	godwit_unit_test(${name} godwit_common)
endforeach()
