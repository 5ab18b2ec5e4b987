foreach(name route balance cache coherence flights freshness packet resolver frontend_config quic sources window http1 http2_frames doh doh_json
		tls_stream connection pages zone_table)
	godwit_unit_test(${name} godwit_frontend)
endforeach()
target_sources(test_connection PRIVATE stream_client.c)
