"""What is compared: one file for each way of embedding cells, and `registry`, which names them."""
