foreach(name route balance packet resolver frontend_config)
	godwit_unit_test(${name} godwit_frontend)
endforeach()
