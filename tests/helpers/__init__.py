"""What tests of different folders share: enumeration by the defining formula, and statistics with one failure rate."""
