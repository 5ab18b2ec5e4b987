# Makes a C file of the octets of a file:
#     cmake -DINPUT=status.html -DOUTPUT=x.c -DNAME=status_page -P embed.cmake
# defines NAME_html, the octets, and NAME_size, as common/status_page.h declares them.
file(READ ${INPUT} octets HEX)
string(REGEX REPLACE "(................................)" "\\1\n" octets "${octets}")
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," octets "${octets}")
file(WRITE ${OUTPUT} "#include \"common/${NAME}.h\"\n\n"
	"const unsigned char ${NAME}_html[] = {\n${octets}\n};\n"
	"const size_t ${NAME}_size = sizeof(${NAME}_html);\n")
