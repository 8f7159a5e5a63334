/** A mail address as it may stand in the files of settings: of one line, without quotes; a domain without a dot is one of an own mail system. */
export const mailAddress =
  /^[A-Za-z0-9.!#$%&'*+/=?^_{|}~-]{1,64}@[A-Za-z0-9]([A-Za-z0-9.-]{0,188}[A-Za-z0-9])?$/;
