#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    printf("Hello, %s, from process %d\n", argc > 1 ? argv[1] : "nobody", (int)getpid());
    return 0;
}
