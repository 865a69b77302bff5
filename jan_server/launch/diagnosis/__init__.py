"""The diagnosis behind `jan doctor`: what about this machine and this configuration is as it should be."""
