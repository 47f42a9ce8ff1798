#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* As root. */
int main(void)
{
    int file = socket(AF_PACKET, SOCK_RAW, 0);
    struct tpacket_req request = {4096, 16, 2048, 32};
    struct sockaddr_ll loopback = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
                                   .sll_ifindex = (int)if_nametoindex("lo")};
    if (file < 0 || setsockopt(file, SOL_PACKET, PACKET_RX_RING, &request, sizeof request) != 0)
        return 1;
    char *ring = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (ring == MAP_FAILED || bind(file, (struct sockaddr *)&loopback, sizeof loopback) != 0)
        return 1;
    int sender = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in nobody = {.sin_family = AF_INET, .sin_port = htons(9),
                                 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (sendto(sender, "neap tide", 10, 0, (struct sockaddr *)&nobody, sizeof nobody) != 10)
        return 1;
    struct pollfd wait = {file, POLLIN, 0};
    if (poll(&wait, 1, 1000) != 1)
        return 1;
    volatile struct tpacket_hdr *frame = (void *)ring;
    printf("status %lu, %u bytes: %s\n", frame->tp_status, frame->tp_len, ring + frame->tp_mac + 42);
    frame->tp_status = TP_STATUS_KERNEL;
    return 0;
}
