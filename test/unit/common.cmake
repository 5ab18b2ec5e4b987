foreach(name address admin backoff config log metrics notify program tls_files)
	godwit_unit_test(${name} godwit_common PkgConfig::OPENSSL)
endforeach()
