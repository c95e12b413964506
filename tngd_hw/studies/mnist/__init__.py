"""The paper's MNIST figures (``python -m tngd_hw.studies.mnist.curves OUT``), and tuned rivals (``....tuned OUT``)."""
