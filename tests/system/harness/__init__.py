"""What the system tests share: the kernel guest, its pools, our programs, an NBD client."""
