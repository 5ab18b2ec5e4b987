foreach(name route balance coherence packet resolver frontend_config)
	godwit_unit_test(${name} godwit_frontend)
endforeach()
