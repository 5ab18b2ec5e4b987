foreach(name address admin backoff config heartbeat log metrics notify program tls_files)
	godwit_unit_test(${name} godwit_common PkgConfig::OPENSSL)
endforeach()
