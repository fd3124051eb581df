"""What we hold to be true, one area a file. A check takes facts, yields findings and touches nothing else."""
