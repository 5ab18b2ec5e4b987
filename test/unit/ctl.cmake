foreach(name zonefile generate rrlist)
	godwit_unit_test(${name} godwit_ctl)
endforeach()
