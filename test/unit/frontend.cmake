foreach(name route balance coherence flights freshness packet resolver frontend_config quic
		quic_key sources window http1 http2_frames doh doh_json tls_stream tls_tickets
		connection pages zone_table)
	godwit_unit_test(${name} godwit_frontend)
endforeach()
foreach(name cache cache_asked cache_set cache_show)
	godwit_unit_test(${name} godwit_frontend)
	target_sources(test_${name} PRIVATE cache_fixture.c)
endforeach()
target_sources(test_connection PRIVATE stream_client.c)
