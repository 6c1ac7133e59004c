"""`report`: one page about one run or many, to read and to hand on."""
