foreach(name route balance cache coherence flights packet resolver frontend_config quic sources window)
	godwit_unit_test(${name} godwit_frontend)
endforeach()
