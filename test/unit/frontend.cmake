foreach(name route balance cache coherence flights packet resolver frontend_config sources window)
	godwit_unit_test(${name} godwit_frontend)
endforeach()
