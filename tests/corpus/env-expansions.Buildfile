FROM busybox
ENV v=foobarbaz
ENV a=${v#f*b} b=${v##f*b} c=${v%b*} d=${v%%b*}
ENV e=${v/b/X} f=${v//b/X} g=${v:+set} h=${u:-un set}
ENV i="${u:-"quoted default"}" j=\$v k="\$v" l='$v'
ENV m=${a:-${b:-${c}}} n=$$ o=$1
