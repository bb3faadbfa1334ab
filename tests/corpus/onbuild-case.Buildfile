FROM busybox
onbuild   run   echo spaced
OnBuild Copy --from=busybox a b
