foreach(name zonefile rrlist)
	godwit_unit_test(${name} godwit_ctl)
endforeach()
